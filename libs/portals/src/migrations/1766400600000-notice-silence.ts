import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When portals were heard of, and which of them do not reach us. */
export class NoticeSilence1766400600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.event_arrivals (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        heard_at timestamptz,
        event_at timestamptz,
        busy_slots int[] NOT NULL DEFAULT '{}',
        record_at timestamptz,
        only_offline int NOT NULL DEFAULT 0,
        missing_since timestamptz,
        missing_visits int NOT NULL DEFAULT 0
      ) WITH (fillfactor = 70);
      COMMENT ON TABLE portals.event_arrivals IS
        'what came from each portal, written every few seconds by gateways and after each visit by offline-puller';
      COMMENT ON COLUMN portals.event_arrivals.busy_slots IS
        'slots of ten minutes since 1970 in which an event came, and which are not part of reachability.rates yet';
      COMMENT ON COLUMN portals.event_arrivals.only_offline IS
        'records of the offline queue since the last online event that are newer than it';

      CREATE TABLE portals.reachability (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        watched_since timestamptz NOT NULL,
        next_check_at timestamptz NOT NULL,
        failed_tests int NOT NULL DEFAULT 0,
        tested_at timestamptz,
        missed_at timestamptz,
        unreachable_since timestamptz,
        reason text,
        rates float8[] NOT NULL DEFAULT '{}',
        rates_from int,
        rates_until int,
        CHECK ((unreachable_since IS NULL) = (reason IS NULL))
      );
      COMMENT ON COLUMN portals.reachability.rates IS
        'usual number of busy slots in each hour of the week, Thursday 00:00 UTC first; empty: none is known';
      CREATE INDEX reachability_next_check_at ON portals.reachability (next_check_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.reachability, portals.event_arrivals');
  }
}
