/** A host after the URL parser, which converts to ASCII and lower case. */
const HOST = /^(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;
const LABEL = /^[a-z0-9][a-z0-9_-]{0,61}$/;
/** Path segment before `/rest/`: the portal, if one host serves several, as the simulator does. */
const BEFORE_REST = /\/([^/]+)\/rest\//;

/**
 * The domain of a trusted address: its host, with the port unless it is the default. If one host serves several portals,
 * the path segment that distinguishes them becomes a label before it, which only the owner of the host could create.
 * @param endpoint from the OAuth server, or a webhook of an operator; never from a form
 * @returns undefined if there is no valid host
 */
export function domainOf(endpoint: string): string | undefined {
  if (!URL.canParse(endpoint)) return undefined;
  const { host, pathname } = new URL(endpoint);
  const bare = host.replace(/\.(?=$|:)/, '');
  if (!HOST.test(bare) || bare.length > 253) return undefined;
  const label = BEFORE_REST.exec(pathname)?.[1]?.toLowerCase() ?? '';
  return LABEL.test(label) ? `${label}.${bare}` : bare;
}

/** Whether both addresses have the same host, apart from ports. */
export function isSameHost(one: string, other: string): boolean {
  const host = hostOf(one);
  return host !== undefined && host === hostOf(other);
}

/** The domain without its port. */
export function hostOf(endpoint: string): string | undefined {
  return domainOf(endpoint)?.replace(/:\d+$/, '');
}
