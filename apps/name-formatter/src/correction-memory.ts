import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { CONSUMER_LOG, HASH_KEY } from '@relay/consumer';
import { NAME_FIELDS, type NameChanges } from '@relay/names';
import { counter, createEventLoopYielder, type Log, PeriodicJob } from '@relay/platform';
import { createHmac } from 'node:crypto';
import { DataSource } from 'typeorm';
import { z } from 'zod';

const leftAloneTotal = counter({
  name: 'relay_names_left_alone_total',
  help: 'Corrections of name fields that were not written: put_back by somebody on purpose, or contested by another program',
  labelNames: ['reason'],
});

/** A correction that comes undone is repeated once. */
const MAX_WRITES = 2;
const MEMORY = `interval '1 day'`;
const FORGET_INTERVAL_MS = 10 * 60_000;
const FORGET_CHUNK_SIZE = 5_000;
/** Of one portal. Bitrix24's limits allow millions of writes a day; the latest are those that may come back. */
const MAX_CONTACTS = 100_000;
/** A second program may rewrite thousands of contacts at once. */
const MAX_LOGGED_IDS = 10;
const HASH_BYTES = 16;

const memory = z.partialRecord(z.enum(NAME_FIELDS), z.object({ hash: z.string(), writes: z.number() }));
type Memory = z.output<typeof memory>;
const remembered = z.array(z.object({ id: z.string(), fields: memory, told: z.boolean() }));
const crowdedPortals = z.array(z.object({ memberId: z.string(), count: z.number() }));
const ids = z.array(z.object({ id: z.string() }));

/** A contact whose fields are about to be written. */
export interface Correction {
  id: string;
  fields: NameChanges;
  /** The present values of these fields. */
  replaced: NameChanges;
}

/** @param memory to be stored when the write has succeeded */
export type AdmittedCorrection<C extends Correction> = C & { memory: Memory };

/**
 * The brake: a portal may have a second program, or a person, that wants a name otherwise, and each write of ours would cause one
 * of theirs. What we wrote is remembered for a day, in `names.corrections`, one row a contact, for all processes:
 * - a field that comes back as exactly the value that we replaced was put back on purpose: it is left alone at once;
 * - one that comes back as something else that is badly written is corrected once more, and then left alone.
 *
 * A row is written after the portal has confirmed the write, never before: if the write fails, the old value is still there when the
 * event is tried again, and must not be taken for one that was put back. If the process ends between the two, or the
 * portal's answer is lost, the correction is not remembered, and what comes back then is corrected one more time. A batch that
 * is handled again finds its contacts correct, and neither writes nor remembers.
 *
 * Keyed hashes are stored, never names; the key is not in the database, so a dump does not show by trial what a name was. With
 * another first key in TOKEN_KEYS no hash matches: again one more write.
 */
@Injectable()
export class CorrectionMemory implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly forgetting: PeriodicJob;

  constructor(
    @Inject(DataSource) private readonly source: Pick<DataSource, 'query'>,
    @Inject(CONSUMER_LOG) private readonly log: Log,
    @Inject(HASH_KEY) private readonly hashKey: Buffer,
  ) {
    this.forgetting = new PeriodicJob('forgetting corrections', FORGET_INTERVAL_MS, log, () => this.forget());
  }

  onApplicationBootstrap(): void {
    this.forgetting.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.forgetting.stop();
  }

  /** One statement for the batch; none for an empty one. @returns the corrections without the fields that are left alone */
  async admit<C extends Correction>(
    memberId: string,
    corrections: readonly C[],
  ): Promise<AdmittedCorrection<C>[]> {
    if (corrections.length === 0) return [];
    const rows = remembered.parse(
      await this.source.query(
        `SELECT contact_id AS id, fields, told FROM names.corrections
         WHERE member_id = $1 AND contact_id = ANY($2) AND written_at > now() - ${MEMORY}`,
        [memberId, corrections.map(({ id }) => id)],
      ),
    );
    const known = new Map(rows.map((row) => [row.id, row]));
    const untold: string[] = [];
    const admitted: AdmittedCorrection<C>[] = [];
    const yieldToEventLoop = createEventLoopYielder();
    for (const correction of corrections) {
      await yieldToEventLoop();
      const row = known.get(correction.id);
      const next = this.judge(memberId, correction, row?.fields ?? {});
      if (next.isContested && row?.told === false) untold.push(correction.id);
      if (Object.keys(next.fields).length > 0)
        admitted.push({ ...correction, fields: next.fields, memory: next.memory });
    }
    if (untold.length > 0) await this.tell(memberId, untold);
    return admitted;
  }

  /** One statement for the batch; none for an empty one. @param written confirmed by the portal */
  async remember(
    memberId: string,
    written: readonly Pick<AdmittedCorrection<Correction>, 'id' | 'memory'>[],
  ): Promise<void> {
    if (written.length === 0) return;
    // Each contact once, as the statement demands; ordered, so that two processes lock the rows in the same order.
    const rows = [...new Map(written.map((each) => [each.id, each])).values()].toSorted((a, b) =>
      a.id < b.id ? -1 : 1,
    );
    await this.source.query(
      `INSERT INTO names.corrections AS c (member_id, contact_id, fields)
       SELECT $1, id, fields FROM unnest($2::text[], $3::jsonb[]) AS t (id, fields)
       ON CONFLICT (member_id, contact_id) DO UPDATE SET fields = excluded.fields,
         told = c.told AND c.written_at > now() - ${MEMORY}, written_at = excluded.written_at`,
      [memberId, rows.map(({ id }) => id), rows.map((row) => JSON.stringify(row.memory))],
    );
  }

  /** Deletes what is older than a day, and of a portal the oldest beyond `maxContacts`. */
  async forget(maxContacts = MAX_CONTACTS): Promise<void> {
    await this
      .deleteChunks(`SELECT member_id, contact_id FROM names.corrections WHERE written_at <= now() - ${MEMORY}
      ORDER BY written_at`);
    const crowded = crowdedPortals.parse(
      await this.source.query(
        `SELECT member_id AS "memberId", count(*)::int AS count FROM names.corrections GROUP BY member_id HAVING count(*) > $1`,
        [maxContacts],
      ),
    );
    for (const { memberId, count } of crowded) {
      await this.deleteChunks(
        `SELECT member_id, contact_id FROM names.corrections WHERE member_id = $1 ORDER BY written_at`,
        { memberId, rows: count - maxContacts },
      );
    }
  }

  /** In chunks, so that no lock is held for long. @param only at most so many rows, of one portal */
  private async deleteChunks(oldest: string, only?: { memberId: string; rows: number }): Promise<void> {
    for (let left = only?.rows ?? Infinity; left > 0; left -= FORGET_CHUNK_SIZE) {
      const chunk = Math.min(left, FORGET_CHUNK_SIZE);
      const deleted: [object[], number] = await this.source.query(
        `DELETE FROM names.corrections
         WHERE (member_id, contact_id) IN (${oldest} LIMIT ${chunk} FOR UPDATE SKIP LOCKED)`,
        only ? [only.memberId] : [],
      );
      if (deleted[1] < chunk) return;
    }
  }

  private judge(
    memberId: string,
    { id, fields, replaced }: Correction,
    known: Memory,
  ): { fields: NameChanges; memory: Memory; isContested: boolean } {
    const result = { fields: { ...fields }, memory: { ...known }, isContested: false };
    for (const field of NAME_FIELDS) {
      if (fields[field] === undefined) continue;
      const hash = this.hashOf(memberId, id, field, replaced[field] ?? '');
      const before = known[field];
      const isPutBack = before?.hash === hash;
      const isContested = !isPutBack && (before?.writes ?? 0) >= MAX_WRITES;
      if (isPutBack || isContested) {
        delete result.fields[field];
        result.isContested ||= isContested;
        leftAloneTotal.inc({ reason: isPutBack ? 'put_back' : 'contested' });
      } else {
        result.memory[field] = { hash, writes: (before?.writes ?? 0) + 1 };
      }
    }
    return result;
  }

  /** Once for each contact, whichever process is first. */
  private async tell(memberId: string, contactIds: readonly string[]): Promise<void> {
    const [rows] = z.tuple([ids, z.number()]).parse(
      await this.source.query(
        `UPDATE names.corrections SET told = true
         WHERE member_id = $1 AND contact_id = ANY($2) AND NOT told RETURNING contact_id AS id`,
        [memberId, contactIds],
      ),
    );
    if (rows.length === 0) return;
    this.log.warn(
      {
        event: 'names.correction.contested',
        memberId,
        contacts: rows.length,
        contactIds: rows.slice(0, MAX_LOGGED_IDS).map(({ id }) => id),
      },
      'another program rewrites names that were corrected: they are left alone for a day',
    );
  }

  private hashOf(memberId: string, id: string, field: string, value: string): string {
    return createHmac('sha256', this.hashKey)
      .update(JSON.stringify([memberId, id, field, value]))
      .digest()
      .subarray(0, HASH_BYTES)
      .toString('base64');
  }
}
