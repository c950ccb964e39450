import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@relay/platform';
import { z } from 'zod';

const portal = z.object({ handlers: z.array(z.object({ event: z.string() })) });
const TIMEOUT_MS = 30_000;

/** Resolves when the portal `demo` sends its contacts' events: not before would a newcomer's contact be corrected. */
export async function waitForDemoPortal(simulatorUrl: string): Promise<void> {
  for (const until = Date.now() + TIMEOUT_MS; Date.now() < until; await pause(25)) {
    const answer = await fetch(`${simulatorUrl}/_sim/portals/demo`);
    const { handlers } = portal.parse(await answer.json());
    if (handlers.some(({ event }) => event === 'ONCRMCONTACTADD')) return;
  }
  throw new StartupError('The application could not be installed in the portal demo; the log says why.');
}
