import { BlockList, isIP } from 'node:net';

/** An address that must not be called. The error does not contain the address: a webhook's is a secret. */
export class AddressError extends Error {
  override readonly name: string = 'AddressError';
  readonly code = 'BAD_ADDRESS';
  readonly recovery = 'never';

  constructor(readonly reason: 'not-a-url' | 'has-credentials' | 'has-query' | 'not-https' | 'private-host') {
    super(`the address is rejected: ${reason}`);
  }
}

/** Networks that are not public (RFC 6890 and its registries), and those that reach one through a gateway. */
const NOT_PUBLIC = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  NOT_PUBLIC.addSubnet(network, prefix, 'ipv4');
}
/** In IPv6 only 2000::/3 is public; inside it 6to4 and Teredo embed an IPv4 address. */
const PUBLIC_V6 = new BlockList();
PUBLIC_V6.addSubnet('2000::', 3, 'ipv6');
const WRAPPED_V4 = new BlockList();
WRAPPED_V4.addSubnet('2002::', 16, 'ipv6');
WRAPPED_V4.addSubnet('2001::', 32, 'ipv6');

/**
 * Validates an address: https, a public host, no credentials, no query or fragment.
 * A host in `allowHosts` may be plain http and private (a portal in the operator's network, a test).
 * Names are not resolved here; the resolved address is checked when a socket is connected (`http-request.ts`).
 *
 * @param allowHosts `host` for any port, or `host:port`; an IPv6 address in brackets
 * @returns the normalized URL, whose path ends in `/`
 * @throws AddressError
 */
export function assertCallable(address: string, allowHosts: readonly string[]): string {
  if (!URL.canParse(address)) throw new AddressError('not-a-url');
  const url = new URL(address);
  checkOrigin(url, allowHosts);
  if (url.search !== '' || url.hash !== '') throw new AddressError('has-query');
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url.href;
}

/**
 * @returns whether the host is in `allowHosts`, so that it may have any address
 * @throws AddressError for an address that must not be called
 */
export function checkOrigin(url: URL, allowHosts: readonly string[]): { allowed: boolean } {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new AddressError('not-a-url');
  if (url.username !== '' || url.password !== '') throw new AddressError('has-credentials');
  if (isAllowed(url, allowHosts)) return { allowed: true };
  if (url.protocol !== 'https:') throw new AddressError('not-https');
  if (!isPublicHost(url.hostname)) throw new AddressError('private-host');
  return { allowed: false };
}

function isAllowed(url: URL, allowHosts: readonly string[]): boolean {
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return allowHosts.some((entry) => {
    const allowed = entry.trim().toLowerCase();
    return allowed === url.hostname || allowed === `${url.hostname}:${port}`;
  });
}

/** The URL parser has already normalized every form of an IPv4 address (decimal, octal, hexadecimal). */
function isPublicHost(hostname: string): boolean {
  const address = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  if (isIP(address) !== 0) return isPublicAddress(address);
  // A name of one label is of the local network; `localhost` and its subdomains are of this machine.
  const labels = hostname.replace(/\.$/, '').split('.');
  return labels.length > 1 && labels.at(-1) !== 'localhost';
}

/** @param address an IP address as a resolver returns it; any other string is not public */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !NOT_PUBLIC.check(address, 'ipv4');
    case 6:
      // A scoped address (`fe80::1%eth0`) is of the local network.
      return !address.includes('%') && PUBLIC_V6.check(address, 'ipv6') && !WRAPPED_V4.check(address, 'ipv6');
    default:
      return false;
  }
}
