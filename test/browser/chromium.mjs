/** The browser of the tests: finds Chromium, installs it where that needs no question, and starts it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

/** Chromium without windows and menus of its own, which take five times the CPU of a page. */
const HEADLESS_SHELL = '/usr/bin/chromium-headless-shell';
const defaultPlaces = [
  HEADLESS_SHELL,
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

/** CHROMIUM_PATH, else a usual place. @returns {string | undefined} */
export function findChromium() {
  return process.env['CHROMIUM_PATH'] ?? defaultPlaces.find((path) => existsSync(path));
}

/** The same, after the lightest one was installed by apt, if it was missing and that needs no question. */
export function getChromium() {
  if (process.env['CHROMIUM_PATH'] === undefined && !existsSync(HEADLESS_SHELL)) {
    if (!install('chromium-headless-shell') && findChromium() === undefined) install('chromium');
  }
  return findChromium();
}

/** As root, on a machine with apt. @param {string} name of a package @returns {boolean} */
function install(name) {
  if (process.getuid?.() !== 0) return false;
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore' });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], {
      stdio: 'ignore',
      env,
    });
    return true;
  } catch {
    // No apt here, or no such package.
    return false;
  }
}

/** With an empty profile, which goes when the browser is closed. */
export async function startChromium() {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Error(
      'there is no Chromium: install it (apt-get install chromium-headless-shell) or set CHROMIUM_PATH',
    );
  }
  return chromium.launch({ executablePath, args: flags });
}
