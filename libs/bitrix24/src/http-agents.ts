import { lookup as resolve } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { AddressError, isPublicAddress } from './address.js';

/** For DNS, TCP and TLS together; the request's own deadline applies as well. */
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The connection pools of a process. Idle connections stay open for a few seconds and do not keep the process alive.
 */
export interface HttpAgents {
  /** For hosts that the operator has allowed: any address. */
  readonly unrestricted: Dispatcher;
  /** For all other hosts: connecting to an address that is not public fails with `AddressError` (SSRF protection). */
  readonly ssrfGuarded: Dispatcher;
}

/**
 * A name is resolved once, and only addresses that passed the check are connected to. This prevents DNS rebinding,
 * where a name is public when it is checked and private when it is called.
 */
export function createHttpAgents({
  lookup = resolve,
  connectTimeoutMs = CONNECT_TIMEOUT_MS,
}: { readonly lookup?: LookupFunction; readonly connectTimeoutMs?: number } = {}): HttpAgents {
  // The caller sets the deadline of each request.
  const limits = { headersTimeout: 0, bodyTimeout: 0 };
  return {
    unrestricted: new Agent({ ...limits, connect: { timeout: connectTimeoutMs } }),
    ssrfGuarded: new Agent({ ...limits, connect: publicConnector(lookup, connectTimeoutMs) }),
  };
}

function publicConnector(lookup: LookupFunction, timeout: number): buildConnector.connector {
  const connect = buildConnector({ timeout, lookup: publicLookup(lookup) });
  return (options, callback) => {
    // A literal IP address is never resolved.
    if (isIP(options.hostname) !== 0 && !isPublicAddress(options.hostname)) {
      process.nextTick(callback, new AddressError('private-host'), null);
      return;
    }
    connect(options, callback);
  };
}

function publicLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const all = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found;
      const addresses = all.filter(({ address }) => isPublicAddress(address));
      const [first] = addresses;
      if (first === undefined) callback(new AddressError('private-host'), []);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
