import { createApp } from 'vue';
import '../shared/theme.css';
import ApplicationFrame from './ApplicationFrame.vue';
import PortalPage from './PortalPage.vue';
import './simulator.css';

/** `/portals/<name>/app`: the portal's page around the application. */
const framed = /^\/portals\/([^/]+)\/app\/?$/.exec(location.pathname)?.[1];

const app =
  framed === undefined
    ? createApp(PortalPage)
    : createApp(ApplicationFrame, { portal: decodeURIComponent(framed) });
app.mount('#simulator');
