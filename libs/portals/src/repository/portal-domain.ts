/** What a host looks like; the URL parser has already brought it into ASCII and lower case. */
const HOST = /^(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;
const LABEL = /^[a-z0-9][a-z0-9_-]{0,61}$/;
/** What stands before `/rest/` where one host serves several portals, as the simulator does; the last part is the portal's. */
const BEFORE_REST = /\/([^/]+)\/rest\//;

/**
 * The domain that a proved address names: its host, with the port if it has one of its own. Where one host serves several
 * portals, the part of the path that tells them apart is a label of its own before it, which nobody but the owner of the
 * host could make either.
 * @param endpoint from the OAuth server, or of a pair that an operator has given; never from a form
 * @returns undefined for what is no host
 */
export function domainOf(endpoint: string): string | undefined {
  if (!URL.canParse(endpoint)) return undefined;
  const { host, pathname } = new URL(endpoint);
  const bare = host.replace(/\.(?=$|:)/, '');
  if (!HOST.test(bare) || bare.length > 253) return undefined;
  const label = BEFORE_REST.exec(pathname)?.[1]?.toLowerCase() ?? '';
  return LABEL.test(label) ? `${label}.${bare}` : bare;
}

/** Whether both addresses are of one host, whatever their ports. */
export function isSameHost(one: string, other: string): boolean {
  const host = hostOf(one);
  return host !== undefined && host === hostOf(other);
}

/** The domain without its port: the portal is the same by whichever port it is reached. */
export function hostOf(endpoint: string): string | undefined {
  return domainOf(endpoint)?.replace(/:\d+$/, '');
}
