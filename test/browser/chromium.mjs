/** The browser of the tests: finds Chromium, installs it where that needs no question, and starts it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const defaultPlaces = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/** Without a sandbox, which root has none of, and without anything that asks a host of its own accord. */
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** CHROMIUM_PATH, else a usual place, else by apt. @returns {string | undefined} */
export function findChromium() {
  const given = process.env['CHROMIUM_PATH'];
  if (given !== undefined) return given;
  if (!isThere()) installChromium();
  return isThere();
}

function isThere() {
  return defaultPlaces.find((path) => existsSync(path));
}

/** As root, on a machine with apt. */
function installChromium() {
  if (process.getuid?.() !== 0) return;
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
      stdio: 'ignore',
      env,
    });
  } catch {
    // No apt here, or no package.
  }
}

/** With an empty profile, which goes when the browser is closed. */
export async function startChromium() {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Error('there is no Chromium: install it (apt-get install chromium) or set CHROMIUM_PATH');
  }
  return chromium.launch({ executablePath, args: flags });
}
