import { createApp } from 'vue';
import '../shared/theme.css';
import App from './App.vue';
import { apiOf } from './api.js';
import { openFrame } from './frame.js';
import './portal.css';
import { languageOf } from './texts/texts.js';

const root = document.querySelector<HTMLElement>('#app');
if (root) void start(root);

/** What the server wrote stays until the portal has answered: it can be read without script, and without the portal. */
async function start(element: HTMLElement): Promise<void> {
  const language = languageOf(document.documentElement.lang);
  const isInstall = element.dataset['page'] === 'install';
  const frame = await openFrame().catch(() => undefined);
  if (!frame) return;
  // The server has exchanged the pair that the frame begins with.
  if (isInstall) await frame.credentials(true).catch(() => undefined);
  document.documentElement.lang = language;
  // The frame knows nothing of the height of what it shows.
  new ResizeObserver(() => frame.fit()).observe(document.body);
  const onReady = (): void => element.setAttribute('data-ready', '');
  createApp(App, { frame, api: apiOf(frame), language, isInstall, onReady }).mount(element);
}
