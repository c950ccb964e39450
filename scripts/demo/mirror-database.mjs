import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DemoFailure } from './failure.mjs';

/**
 * @typedef {object} MirrorRow
 * @property {number} item
 * @property {string} title
 * @property {string} deleted
 */

const select = 'SELECT item_id AS item, title, deleted_at IS NOT NULL AS deleted FROM mirror.items';

/** What anybody may ask who has the database's address. */
const sqlByHand = `${select} WHERE entity_type_id = 147 ORDER BY item_id DESC LIMIT 3`;
const sql = `${select} WHERE member_id = $1 AND entity_type_id = 147 AND item_id = ANY ($2) ORDER BY item_id`;

/** How to ask by hand. */
export function psqlLine() {
  const isWritten = !process.env['DATABASE_URL'] && existsSync(addressFile());
  const address = isWritten ? `"$(cat ${addressFile()})"` : '"$DATABASE_URL"';
  return `psql ${address} -c "${sqlByHand}"`;
}

/** The system's database, when this process can know of it: from DATABASE_URL, or from what `npm start` left in its folder. */
export class MirrorDatabase {
  /** @param {import('pg').Client} client */
  constructor(client) {
    this.client = client;
  }

  /** @returns {Promise<MirrorDatabase | undefined>} undefined: not known from here */
  static async open() {
    const url = process.env['DATABASE_URL'] || writtenAddress();
    if (url === undefined) return undefined;
    try {
      // Not before: where the system runs in containers nothing may be installed here.
      const { default: pg } = await import('pg');
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
      // An end of the connection between two queries; the next query says so.
      client.on('error', () => undefined);
      await client.connect();
      return new MirrorDatabase(client);
    } catch (error) {
      if (!process.env['DATABASE_URL']) return undefined;
      const reason = error instanceof Error && 'code' in error ? error.code : 'no answer';
      throw new DemoFailure(`The database of DATABASE_URL cannot be reached from here: ${String(reason)}.`);
    }
  }

  /**
   * @param {string} memberId
   * @param {readonly number[]} ids
   * @returns {Promise<MirrorRow[] | undefined>} undefined: there is no mirror in this database
   */
  async rows(memberId, ids) {
    try {
      const { rows } = await this.client.query(sql, [memberId, ids]);
      return rows.map(({ item, title, deleted }) => ({
        item: Number(item),
        title,
        deleted: deleted ? 'yes' : 'no',
      }));
    } catch {
      return undefined;
    }
  }

  async close() {
    await this.client.end().catch(() => undefined);
  }
}

function addressFile() {
  return join(process.env['DATA_DIR'] || '.data', 'database-url');
}

/** Of `npm start` with a database of its own, as long as it runs. @returns {string | undefined} */
function writtenAddress() {
  try {
    return readFileSync(addressFile(), 'utf8').trim();
  } catch {
    return undefined;
  }
}
