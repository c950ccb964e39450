import type { SealContext } from './secret-box.js';

/** A table with sealed columns: every one there is, so that a key can be replaced everywhere. */
export interface SealedTable {
  name: string;
  /** The primary key. */
  key: readonly string[];
  /** The column that each seal of the row is bound to, as `SealContext.memberId`. */
  boundTo: string;
  columns: Readonly<Record<string, SealContext['field']>>;
}

export const SEALED_TABLES: readonly SealedTable[] = [
  {
    name: 'portals.credentials',
    key: ['member_id'],
    boundTo: 'member_id',
    columns: {
      access_token: 'access_token',
      refresh_token: 'refresh_token',
      webhook_url: 'webhook_url',
    },
  },
  {
    name: 'portals.pending_installs',
    key: ['member_id', 'proof_hash'],
    boundTo: 'member_id',
    columns: { sealed_claim: 'pending_install' },
  },
  {
    name: 'portals.webhook_pairs',
    key: ['token_hash'],
    boundTo: 'host',
    columns: { sealed_url: 'webhook_url' },
  },
];
