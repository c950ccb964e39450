import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateOffline1766400200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA offline;

      CREATE TABLE offline.visits (
        member_id text PRIMARY KEY,
        next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        visited_at timestamptz,
        empty_visits int NOT NULL DEFAULT 0,
        is_reserving boolean NOT NULL DEFAULT false,
        listed_at timestamptz,
        clock_skew_ms float8 NOT NULL DEFAULT 0,
        records bigint NOT NULL DEFAULT 0,
        last_record_at timestamptz
      );
      CREATE INDEX visits_next_at ON offline.visits (next_at);
      COMMENT ON TABLE offline.visits IS 'portals whose offline queue is read';
      COMMENT ON COLUMN offline.visits.is_reserving IS 'a request that reserves records is in flight, or its answer was lost: the portal is asked for batches that nobody knows';
      COMMENT ON COLUMN offline.visits.clock_skew_ms IS 'how far the clock of the portal is ahead';

      CREATE TABLE offline.batches (
        member_id text NOT NULL,
        process_id text NOT NULL,
        reserved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (member_id, process_id)
      );
      COMMENT ON TABLE offline.batches IS 'reserved at the portal and not cleared yet';

      CREATE TABLE offline.records (
        member_id text NOT NULL,
        message_id text NOT NULL,
        message bytea NOT NULL,
        stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (member_id, message_id)
      );
      COMMENT ON TABLE offline.records IS 'of portals whose plan reserves nothing: stored before they are taken, deleted when they are on the bus';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA offline CASCADE');
  }
}
