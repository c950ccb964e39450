import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { emptyJournal, workingConsumer } from '../support/admin-samples.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import { startChromium } from './chromium.mjs';
import { watchPage } from './watched-page.js';

/** Markup, a change of direction that nothing ends, an end of isolation, control characters. */
const odd = '<img src=x onerror=alert(1)>\u202Eevil\u2066\u0000\u001b[2J';
const long = 'x'.repeat(10_000);
/** Of what there is much of. */
const word = 'y'.repeat(200);
const memberId = 'a'.repeat(32);
/** No moment at all, one that no Date holds, one before all others. */
const times = ['not a time', '+999999-01-01T00:00:00Z', '-271821-04-20T00:00:00Z', ''];
const many = <Entry>(count: number, entryOf: (at: number) => Entry): Entry[] =>
  Array.from({ length: count }, (_, at) => entryOf(at));
const timeOf = (at: number): string => times[at % times.length] ?? '';
const textOf = (at: number): string => (at === 1 ? long : at % 2 === 0 ? odd : word);

const portalAt = (at: number) => ({
  memberId: at === 0 ? memberId : `${memberId}${at}`,
  domain: `${textOf(at)}.bitrix24.example`,
  state: ['suspended', 'unreachable', 'installed'][at % 3],
  kind: 'oauth',
  suspendedReason: textOf(at),
  suspendedUntil: timeOf(at),
  language: textOf(at),
  settings: { [odd]: { [long]: [odd] }, 'name-formatter': { __proto__: odd, [odd]: long } },
  installedAt: timeOf(at),
  bindings: { bound: 1e21, error: odd, nextAttemptAt: timeOf(at), notOffered: [], note: textOf(at) },
  drift: { missing: 1, surplus: 2, foreign: 3, checkedAt: timeOf(at) },
  arrivals: {
    lastEventAt: timeOf(at),
    lastRecordAt: timeOf(at),
    onlyOffline: 4,
    testedAt: timeOf(at),
    unreachableSince: timeOf(at),
    reason: 'test',
  },
  delivery: { mode: 'both', bound: 1, note: textOf(at) },
});
const jobAt = (at: number) => ({
  id: `job-${at}`,
  consumer: 'smart-process-sync',
  memberId,
  domain: textOf(at),
  kind: ['backfill', 'reconcile', odd][at % 3],
  state: ['running', 'failed', 'done', 'waiting'][at % 4],
  progress: {
    items: at === 0 ? 'many' : -1e300,
    itemsPerSecond: null,
    part: [5, -1, 'half', 0.5][at % 4],
    secondsLeft: 1e300,
    types: many(at === 0 ? 5_000 : 3, (type) => ({ entityTypeId: odd, title: textOf(type), items: {} })),
    found: { [odd]: 3, [long]: '4' },
    lost: [odd],
    leftOut: odd,
  },
  error: textOf(at),
  attempts: 1,
  isInteractive: false,
  isSilent: at % 2 === 0,
  lostLeases: 0,
  requestedAt: timeOf(at),
  startedAt: timeOf(at),
  endedAt: timeOf(at),
});
const consumerAt = (at: number) => ({
  ...workingConsumer,
  consumer: at === 0 ? 'name-formatter' : `c${at}-${long.slice(0, 60)}`,
  waiting: 5,
  inHand: 1e21,
  retrying: 7,
  dead: 8,
  oldestAt: timeOf(at),
  events: many(50, textOf),
  processes: many(at === 0 ? 100 : 1, (nth) => ({
    ...workingConsumer.processes[0],
    replica: `r${nth}`,
    host: textOf(nth),
    startedAt: timeOf(nth),
    largest: [{ memberId: textOf(nth), events: 3 }],
  })),
});
const letterAt = (at: number) => ({
  id: `letter-${at}`,
  consumer: 'name-formatter',
  code: odd,
  message: textOf(at),
  attempts: 3,
  firstFailedAt: timeOf(at),
  lastFailedAt: timeOf(at),
  memberId: textOf(at),
  event: textOf(at),
  entity: textOf(at + 1),
  receivedAt: timeOf(at),
});
const groupAt = (at: number) => ({
  consumer: 'name-formatter',
  code: at === 0 ? odd : `${at}${textOf(at)}`,
  message: textOf(at),
  letters: 3,
  portals: many(10, (nth) => ({ memberId: `${nth}${textOf(nth)}`, domain: textOf(nth), letters: 1 })),
  portalCount: 50,
  events: many(5, (nth) => ({ event: `${nth}${textOf(nth)}`, letters: 1 })),
  firstDiedAt: timeOf(at),
  lastDiedAt: timeOf(at + 1),
});
const eventAt = (at: number) => ({
  id: `event-${at}`,
  memberId: textOf(at),
  domain: textOf(at),
  event: textOf(at),
  entity: textOf(at + 1),
  receivedAt: timeOf(at),
  source: odd,
  traceId: textOf(at),
  resendable: at % 2 === 0,
  notResendable: textOf(at),
  outcomes: many(3, (nth) => ({
    consumer: `${nth}${textOf(nth)}`,
    outcome: ['dead', odd, 'retry'][nth],
    at: timeOf(nth),
    attempts: 2,
    code: textOf(nth),
    mergedInto: nth === 1 ? odd : null,
  })),
});
const retryAt = (at: number) => ({
  consumer: 'name-formatter',
  code: textOf(at),
  attempts: at % 2,
  firstFailedAt: timeOf(at),
  dueAt: timeOf(at),
  memberId: `${at % 30}${textOf(at)}`,
  event: textOf(at),
  entity: textOf(at),
  receivedAt: timeOf(at),
});
const schema = {
  type: 'object',
  properties: { [odd]: { type: 'string', description: long, default: odd }, nested: { $ref: odd } },
};

/** By path: what the API says, in the shape of its contract, with whatever somebody outside may have put into it. */
const answers: [path: RegExp, answer: unknown][] = [
  [/^consumers$/, { consumers: many(10, consumerAt), domains: { [odd]: odd, [long]: long } }],
  [
    /^portals\/search/,
    {
      portals: many(50, portalAt),
      matching: 1e21,
      counts: {
        total: 10_000,
        installed: 1,
        uninstalled: 1,
        'needs-reauth': 1,
        'needs-webhook': 1,
        resuming: 1,
        attention: 9_000,
        suspended: 20,
        unreachable: 3,
      },
    },
  ],
  [
    /^portals\/a+\/subscriptions$/,
    {
      missing: { online: [odd], offline: [long] },
      surplus: { online: [{ event: odd, handler: long }], offline: [odd] },
      foreign: 1,
      unreadable: 2,
    },
  ],
  [
    /^portals\//,
    {
      portal: portalAt(0),
      limit: { rate: 1e300, burst: 5 },
      settingSchemas: [
        { consumer: 'name-formatter', schema },
        { consumer: odd, schema: { type: odd } },
      ],
    },
  ],
  [/^sync$/, { running: 1e21, waiting: 3, tasks: many(150, jobAt) }],
  [/^sync\//, { tasks: many(4, jobAt) }],
  [
    /^journal$/,
    {
      gateways: many(30, (at) => ({
        ...emptyJournal,
        host: textOf(at),
        pid: at,
        events: 3,
        bytes: -5,
        oldestAt: timeOf(at),
        newer: 1,
        unreadable: 1,
      })),
    },
  ],
  [
    /^topology$/,
    {
      ok: false,
      topology: many(10_000, (at) => ({
        kind: 'queue',
        name: `${at}${textOf(at)}`,
        consumer: null,
        state: 'missing',
        detail: odd,
      })),
      repairs: [{ kind: odd, name: long, consumer: null, at: timeOf(0) }],
    },
  ],
  [
    /^unrouted$/,
    { unrouted: many(10_000, (at) => ({ name: `${at}${odd}`, events: 3, portals: 1, lastAt: timeOf(at) })) },
  ],
  [
    /^dead-letters\/groups/,
    { groups: many(200, groupAt), matching: 3_000, complete: false, countedAt: timeOf(0) },
  ],
  [/^dead-letters\/[^?]/, { ...letterAt(0), content: { [odd]: [long, { __proto__: odd }] } }],
  [/^dead-letters\?/, { deadLetters: many(100, letterAt), matching: 3_000, complete: false }],
  [/^retries/, { retries: many(1_000, retryAt), domains: { [odd]: odd }, matching: 1e21, complete: false }],
  [/^events/, { enabled: true, events: many(50, eventAt), next: odd }],
];

const views: [view: string, address: string, shows: string][] = [
  ['overview', '#/', 'Needs attention'],
  ['dead letters', '#/dead-letters', 'Dead letters by cause'],
  [
    'those of one cause',
    `#/dead-letters?${new URLSearchParams({ consumer: 'name-formatter', error: odd })}`,
    'Letters',
  ],
  ['events', '#/events', 'Events'],
  ['portals', '#/portals', 'Portals'],
  ['a portal', `#/portals/${memberId}`, 'Not handled'],
  ['consumers', '#/consumers', 'Bus'],
  ['mirror', '#/mirror', 'Mirror'],
  ['addresses that are none', `#/${odd}/%E0%A4%A?page=NaN&page=-1&__proto__=x`, 'Needs attention'],
];

/** What makes the page wider than its window. */
const beyondWindow = `document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
  .filter((element) => element.getBoundingClientRect().right > innerWidth)
  .map((element) => element.tagName + '.' + element.className + ': ' + element.textContent.trim().slice(0, 40))
  .slice(-5)`;

/** Real: Chromium, the page, the control plane that serves it. Played here: all that its API says. */
describe('the operators’ console, told odd things,', () => {
  let relay: Relay;
  let browser: Browser;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, relay] = await Promise.all([startChromium(), startRelay('PostgreSQL', [])]);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await relay?.stop();
  }, 30_000);
  afterEach(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });

  async function open(address: string): Promise<void> {
    const url = `http://127.0.0.1:${relay.opsPort('control-plane')}/ops`;
    ({ page, problems } = await watchPage(browser, url));
    await page.route('**/ops/api/**', async (route) => {
      const { pathname, search } = new URL(route.request().url());
      const asked = `${pathname.replace('/ops/api/', '')}${search}`;
      const json = answers.find(([path]) => path.test(asked))?.[1];
      await route.fulfill(json === undefined ? { status: 404, json: { error: odd } } : { json });
    });
    await page.addInitScript((token) => sessionStorage.setItem('OPS_TOKEN', token), 'x'.repeat(16));
    await page.goto(`${url}${address}`);
  }

  it.each(views)(
    'shows %s as text, inside a wide window and a narrow one',
    async (_, address, shown) => {
      await open(address);
      const region = page.getByRole('region', { name: shown, exact: true }).first();
      await region.waitFor();
      const summaries = await page.locator('summary').all();
      if (summaries.length < 30) for (const summary of summaries) await summary.click();
      await eventually(async () => {
        expect(await region.innerText()).not.toMatch(/^\s*$/);
      });
      expect(await page.locator('main img').count()).toBe(0);
      const text = await page.locator('body').innerText();
      expect(text).not.toMatch(/(?![\n\t])[\p{Cc}\u202A-\u202E\u2066-\u2069]/u);
      expect(text).not.toMatch(/NaN|Invalid Date|undefined|\[object/);
      expect(await page.title()).toMatch(/ · b24-relay$/);
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate(beyondWindow)).toEqual([]);
      }
    },
    60_000,
  );
});
