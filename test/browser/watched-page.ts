import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

/** A page of a browser, and all that went wrong in it: console, scripts, rejected requests, requests to another host. */
export interface WatchedPage {
  page: Page;
  problems: string[];
}

/** The simulator's page, with what it shows. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const { page, problems } = await watchPage(browser, url, options);
  page.on('requestfailed', (request) => {
    // Its stream, when the page is left or another portal chosen.
    if (!request.url().endsWith('/changes')) problems.push(`failed: ${request.url()}`);
  });
  await page.goto(url);
  await page.getByText('live', { exact: true }).waitFor();
  return { page, problems };
}

/** A page that may talk to the host of `url` and those of `others`, not yet there. */
export async function watchPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
  others: readonly string[] = [],
): Promise<WatchedPage> {
  const hosts = new Set([url, ...others].map((each) => new URL(each).host));
  const page = await browser.newPage(options);
  const problems: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', ({ message }) => problems.push(message));
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && !hosts.has(host)) problems.push(`elsewhere: ${request.url()}`);
  });
  return { page, problems };
}

/**
 * Closes the page. What the browser says of an answer may come after the page has shown it, and a page that asks again and again
 * is rejected again.
 * @returns what went wrong until then, which `problems` holds no more
 */
export async function problemsOfClosed({ page, problems }: WatchedPage): Promise<string[]> {
  await page.close();
  return problems.splice(0);
}
