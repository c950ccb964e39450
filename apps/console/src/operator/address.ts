/** Addresses of views: the part behind `#`, so that the server has one page and no log has a member_id. */

import { shownText } from './foreign-text.js';

export interface Route {
  view: string;
  /** What the view shows, such as a member_id; empty for all. */
  of: string;
  query: Readonly<Record<string, string>>;
}

/** `#/portals/<member_id>?state=suspended`; anything that is no such address is the first view. */
export function parseRoute(text: string): Route {
  const [path = '', query = ''] = text.replace(/^#\/?/, '').split('?');
  const [view = '', of = ''] = path.split('/').map((part) => shownText(decoded(part)));
  const given = [...new URLSearchParams(query)].map(([name, value]) => [name, shownText(value)] as const);
  return { view, of, query: Object.fromEntries(given) };
}

/** Whoever types an address may break its escapes. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

export function addressOf(view: string, of = '', query: Record<string, string | undefined> = {}): string {
  const path = [view, of].filter((part) => part !== '').map(encodeURIComponent);
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = new URLSearchParams(given).toString();
  return `#/${path.join('/')}${search === '' ? '' : `?${search}`}`;
}
