/**
 * Takes the picture of the README from a running simulator, its portal `demo` as new:
 * `node test/browser/screenshot.mjs http://localhost:8080 docs/images/simulator.png`
 */
import { startChromium } from './chromium.mjs';

const [url = 'http://localhost:8080', path = 'docs/images/simulator.png'] = process.argv.slice(2);
const browser = await startChromium();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1600 }, colorScheme: 'light' });
  await page.goto(url);
  await page
    .getByLabel(/^Name of \d+$/)
    .first()
    .waitFor();
  await page.locator('#notice').waitFor({ state: 'hidden' });
  for (const [example, corrected] of [
    ['ΓΙΏΡΓΟΣ παπαδόπουλος', 'Γιώργος Παπαδόπουλος'],
    ['в’ячеслав ІВАНОВИЧ коваль-БОНДАР', 'В’ячеслав Іванович Коваль-Бондар'],
    ["jOHN o'NEIL", "John O'Neil"],
  ]) {
    // The light of the one before has faded, as a person would see it.
    await page.locator('.corrected').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: example }).click();
    await page.mouse.move(0, 0);
    await page.getByText(corrected ?? '', { exact: true }).waitFor();
  }
  const contacts = await page.getByRole('region', { name: 'Contacts' }).boundingBox();
  const height = Math.ceil((contacts?.y ?? 0) + (contacts?.height ?? 0)) + 15;
  await page.screenshot({ path, clip: { x: 0, y: 0, width: 1280, height } });
} finally {
  await browser.close();
}
