import { isIPv6 } from 'node:net';

/**
 * The source by which token requests are counted. For a page it is the address of the browser; for IPv6, the network
 * of a subscriber.
 */
export function sourceOfPage(address: string): string {
  return `page ${networkOf(address)}`;
}

/** Events and callbacks come from few addresses of Bitrix24, so their source is the portal that they name. */
export function sourceOfPortal(memberId: string): string {
  return `portal ${memberId}`;
}

function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const ipv4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (ipv4 !== undefined) return ipv4;
  const [head = '', tail = ''] = address.toLowerCase().split('::');
  const [first, last] = [head, tail].map((part) => part.split(':').filter((group) => group !== ''));
  const missing = address.includes('::') ? 8 - (first?.length ?? 0) - (last?.length ?? 0) : 0;
  const groups = [...(first ?? []), ...Array.from({ length: missing }, () => '0'), ...(last ?? [])];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
