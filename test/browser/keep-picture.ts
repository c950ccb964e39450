import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

const WIDTH = 1280;

/**
 * Keeps what is seen as `<name>.png`, where a folder is given:
 * `SCREENSHOTS=<folder> npm run jest -- test/browser/operator-night test/browser/portal-administrator`. Those of docs/images are made so.
 */
export async function keepPicture(page: Page, name: string): Promise<void> {
  const folder = process.env['SCREENSHOTS'] ?? '';
  if (folder === '') return;
  mkdirSync(folder, { recursive: true });
  const before = page.viewportSize();
  // No higher than what is on the page.
  await page.setViewportSize({ width: before?.width ?? WIDTH, height: 200 });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true, animations: 'disabled' });
  if (before) await page.setViewportSize(before);
}
