import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { z } from 'zod';
import { ok, problem, type Finding } from './finding.js';
import type { Settings } from './environment.js';

const TIMEOUT_MS = 8_000;
const MAX_LIVE_BYTES = 64 * 1_024;
const DAY_MS = 86_400_000;
/** A certificate that is renewed by itself is renewed a month before. */
const MIN_CERTIFICATE_DAYS = 14;
/** HTTP tells whole seconds, and the answer was on its way for a while. */
const MAX_SKEW_MS = 30_000;

const live = z.object({ status: z.literal('live') });

/** The public address as seen from here: some machines cannot reach their own. */
export async function checkAddress(settings: Settings): Promise<Finding[]> {
  const { PUBLIC_URL: publicUrl } = settings;
  if (publicUrl === undefined) return [];
  const url = new URL(publicUrl);
  const findings: Finding[] = [];
  if (!url.hostname.includes('.')) {
    findings.push(
      problem(
        'address',
        `the host of PUBLIC_URL (${url.host}) has no dot, and Bitrix24 accepts no handler there: set another PUBLIC_URL for gateways and control planes`,
      ),
    );
  }
  if (url.protocol !== 'https:' && !isSimulated(settings)) {
    findings.push(
      problem(
        'TLS',
        `PUBLIC_URL is not https: put a TLS proxy in front of the gateway, and set PUBLIC_URL to its address`,
      ),
    );
  }
  const failure = await findFailure(url, publicUrl);
  if (failure) return [...findings, failure];
  findings.push(ok('address', `the gateway answers at ${publicUrl}`));
  if (url.protocol === 'https:') findings.push(await checkCertificate(url));
  return findings;
}

/** All trusted OAuth servers are named in B24_ALLOW_HOSTS, which the real ones never are. */
function isSimulated({ B24_OAUTH_URL: urls = [], B24_ALLOW_HOSTS: allowed = [] }: Settings): boolean {
  return urls.every((text) => {
    const { host, hostname } = new URL(text);
    return allowed.includes(host) || allowed.includes(hostname);
  });
}

async function findFailure(url: URL, publicUrl: string): Promise<Finding | undefined> {
  const path = `${publicUrl}/health/live`;
  try {
    const answer = await fetch(path, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.status !== 200) {
      return problem(
        'address',
        `${path} answers ${answer.status}: the proxy must pass it on to the gateway's PORT, without a redirect or a login`,
      );
    }
    if (live.safeParse(await readShortJson(answer)).success) return undefined;
    return problem('address', `something else than a gateway answers at ${path}: let the proxy lead to PORT`);
  } catch (error) {
    const code = codeOf(error);
    if (/^(ERR_TLS|ERR_SSL|EPROTO)|CERT|UNABLE_TO_VERIFY|SELF_SIGNED/.test(code)) {
      return problem(
        'TLS',
        `the certificate of ${url.host} is not accepted (${code}), so Bitrix24 sends nothing: install a valid one with its whole chain`,
      );
    }
    const why = code === 'ENOTFOUND' ? 'its name is not known to the name server' : code;
    return problem(
      'address',
      `nothing answers at ${path} as seen from here (${why}): check DNS, the proxy, and whether the gateway runs`,
    );
  }
}

/** Undefined for what is no JSON, or longer than what a gateway says: a download is not read to its end. */
async function readShortJson({ body }: Response): Promise<unknown> {
  try {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of body ?? []) {
      parts.push(part);
      bytes += part.byteLength;
      if (bytes > MAX_LIVE_BYTES) return undefined;
    }
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    return undefined;
  }
}

const coded = z.object({ code: z.string() });

function codeOf(error: unknown): string {
  const found = coded.safeParse(error).data ?? z.object({ cause: coded }).safeParse(error).data?.cause;
  if (found) return found.code;
  return z.object({ name: z.literal('TimeoutError') }).safeParse(error).success
    ? 'no answer in time'
    : 'no connection';
}

async function checkCertificate(url: URL): Promise<Finding> {
  const validTo = await readExpiry(url);
  const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
  return days < MIN_CERTIFICATE_DAYS
    ? problem('TLS', `the certificate of ${url.host} expires in ${days} days: renew it`)
    : ok('TLS', `the certificate of ${url.host} is valid for ${days} days`);
}

function readExpiry({ hostname, port }: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    // TLS names no address (RFC 6066).
    const servername = isIP(host) === 0 ? host : '';
    const socket = connect({ host, port: Number(port || 443), servername }, () => {
      resolve(socket.getPeerCertificate().valid_to);
      socket.destroy();
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.on('error', reject);
  });
}

/** The OAuth servers: reached from here, and what time it is there. */
export async function checkOAuth({ B24_OAUTH_URL: urls = [] }: Settings): Promise<Finding[]> {
  const found = await Promise.all(
    urls.map(async (url) => {
      const askedAt = Date.now();
      try {
        const { headers } = await fetch(url, {
          method: 'HEAD',
          redirect: 'manual',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const skew = skewText(Date.parse(headers.get('date') ?? ''), askedAt, new URL(url).host);
        return skew === undefined ? ok('OAuth server', `${url} answers`) : problem('time', skew);
      } catch (error) {
        return problem(
          'OAuth server',
          `${url} does not answer (${codeOf(error)}): without it no token is refreshed and no install confirmed; let this machine reach it`,
        );
      }
    }),
  );
  return found;
}

/** @param thereMs NaN if it is not known. @returns undefined if both clocks agree */
export function skewText(thereMs: number, askedAtMs: number, whose: string): string | undefined {
  const now = Date.now();
  const aheadMs = thereMs > now ? now - thereMs : Math.max(0, askedAtMs - thereMs);
  if (Number.isNaN(thereMs) || Math.abs(aheadMs) <= MAX_SKEW_MS) return undefined;
  const seconds = Math.round(Math.abs(aheadMs) / 1_000);
  return `the clock of this machine is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of ${whose}: let NTP set both`;
}
