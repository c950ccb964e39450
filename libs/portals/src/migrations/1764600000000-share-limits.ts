import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ShareLimits1764600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.rate_buckets
        ADD COLUMN rate float8 CHECK (rate > 0),
        ADD COLUMN burst float8 CHECK (burst > 0),
        ADD COLUMN unlimited boolean NOT NULL DEFAULT false,
        ADD COLUMN places float8 NOT NULL DEFAULT 0,
        ADD COLUMN leaked float8 NOT NULL DEFAULT 0,
        ADD COLUMN leaked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ADD COLUMN share float8 NOT NULL DEFAULT 1 CHECK (share > 0 AND share <= 1),
        ADD COLUMN refused_place float8 NOT NULL DEFAULT 0,
        ADD COLUMN bulk_from float8 NOT NULL DEFAULT 0,
        ADD CHECK (num_nonnulls(rate, burst) IN (0, 2));
      COMMENT ON COLUMN portals.rate_buckets.rate IS 'requests a second; with burst null: the usual plan';
      COMMENT ON COLUMN portals.rate_buckets.burst IS 'requests; what Bitrix24 calls X';
      COMMENT ON COLUMN portals.rate_buckets.unlimited IS 'on-premise: the portal has no limit of requests';
      COMMENT ON COLUMN portals.rate_buckets.places IS 'places given so far, those of waiting requests among them';
      COMMENT ON COLUMN portals.rate_buckets.leaked IS 'so many of them no longer count at leaked_at';
      COMMENT ON COLUMN portals.rate_buckets.share IS 'of the rate, what was ours at leaked_at; 1 unless refused';
      COMMENT ON COLUMN portals.rate_buckets.refused_place IS 'last place that had its turn at the last refusal';
      COMMENT ON COLUMN portals.rate_buckets.bulk_from IS 'when so many have leaked, bulk work may stand in line';

      UPDATE portals.rate_buckets
        SET places = ceil(2 * greatest(0, extract(epoch FROM full_until - clock_timestamp())));
      ALTER TABLE portals.rate_buckets DROP COLUMN full_until;

      CREATE TABLE portals.operating_times (
        member_id text NOT NULL REFERENCES portals.portals ON DELETE CASCADE,
        method text NOT NULL,
        used_seconds float8 NOT NULL,
        slow_since timestamptz NOT NULL,
        resets_at timestamptz NOT NULL,
        next_at timestamptz NOT NULL,
        PRIMARY KEY (member_id, method)
      ) WITH (fillfactor = 50);
      COMMENT ON TABLE portals.operating_times IS 'methods whose operating time is nearly used up; the others have no row';
      COMMENT ON COLUMN portals.operating_times.next_at IS 'no call of the method before';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE portals.operating_times;
      ALTER TABLE portals.rate_buckets
        ADD COLUMN full_until timestamptz NOT NULL DEFAULT now(),
        DROP COLUMN rate, DROP COLUMN burst, DROP COLUMN unlimited, DROP COLUMN places, DROP COLUMN leaked,
        DROP COLUMN leaked_at, DROP COLUMN share, DROP COLUMN refused_place, DROP COLUMN bulk_from;
      ALTER TABLE portals.rate_buckets ALTER COLUMN full_until DROP DEFAULT;
    `);
  }
}
