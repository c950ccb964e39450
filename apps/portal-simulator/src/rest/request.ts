import type { Values } from '../protocol/php.js';

export interface RestRequest {
  /** 3: under `rest/api/` (api-reference/rest-v3.md). */
  version: 2 | 3;
  method: string;
  params: Values;
  /** Of an incoming webhook's address: `rest/<user>/<secret>/`. */
  webhook?: { userId: string; secret: string };
  /** A token in the header `Authorization`. */
  bearer?: string | undefined;
  callerAddress: string;
}
