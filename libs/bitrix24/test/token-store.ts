import type { PortalAccess, TokenStore } from '../src/rest/access.js';

/** In-memory store with the tokens `<name>-1`, `<name>-2` … */
export class MemoryTokens implements TokenStore {
  readonly refreshedFrom: string[] = [];

  constructor(
    readonly endpoint: string,
    readonly name: string,
  ) {}

  access(): Promise<PortalAccess> {
    const accessToken = `${this.name}-${this.refreshedFrom.length + 1}`;
    return Promise.resolve({ kind: 'oauth', endpoint: this.endpoint, accessToken });
  }

  refresh(staleAccessToken: string): Promise<PortalAccess> {
    this.refreshedFrom.push(staleAccessToken);
    return this.access();
  }
}
