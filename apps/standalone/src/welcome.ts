import { join } from 'node:path';
import type { Plan } from './settings.js';
import { shortPath, type Screen } from './process/screen.js';

/** What is where, and what to do first. */
export function welcome(screen: Screen, plan: Plan, publicUrl: string, ownsDatabase: boolean): void {
  const { dataDir, ports } = plan;
  const simulator = `http://localhost:${ports.SIMULATOR_PORT}`;
  const places: [string, string][] = [
    ...(plan.isSimulated ? [['portal (simulated)', simulator] satisfies [string, string]] : []),
    ['gateway', publicUrl],
    ['console', `http://localhost:${ports.OPS_PORT}/ops (OPS_TOKEN: ${tokenLocation(dataDir)})`],
    ['health and metrics', `http://localhost:${ports.OPS_PORT}/health/ready, /metrics`],
    ['database', ownsDatabase ? `psql "$(cat ${shortPath(databaseUrlFile(dataDir))})"` : 'of DATABASE_URL'],
    ['log', shortPath(logFile(dataDir))],
  ];
  screen.line();
  for (const [what, where] of places) screen.line(`  ${what.padEnd(20)}${where}`);
  screen.line();
  for (const line of plan.isSimulated ? firstContact(simulator) : firstInstall(publicUrl)) screen.line(line);
  screen.line();
  screen.line(
    'Consumers of your own write to the log; `npm run dev -- <consumer>` shows a line for each batch.',
  );
  screen.line('Ctrl-C ends it. What happens from now on:');
  screen.line();
}

export function logFile(dataDir: string): string {
  return join(dataDir, 'relay.log');
}

export function databaseUrlFile(dataDir: string): string {
  return join(dataDir, 'database-url');
}

/** Never the token itself: the screen may be a log. */
function tokenLocation(dataDir: string): string {
  return process.env['OPS_TOKEN'] ? 'yours' : shortPath(join(dataDir, 'secrets.env'));
}

function firstContact(simulator: string): string[] {
  return [
    'Add a contact, as a user of the portal would, and see its name corrected:',
    '',
    `  curl -s ${simulator}/portals/demo/rest/1/demo/crm.item.add -d entityTypeId=3 -d "fields[name]=jOHN" -d "fields[lastName]=o'NEIL"`,
  ];
}

function firstInstall(publicUrl: string): string[] {
  return [
    'In Bitrix24, make a local application without a user interface ("script only"), with the scope crm, and as its',
    `initial install path: ${publicUrl}/b24/install`,
  ];
}
