import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CatchUp1766600000020 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE offline.catch_ups (
        member_id text PRIMARY KEY,
        requested_gap bigint NOT NULL,
        done_gap bigint NOT NULL DEFAULT 0
      );
      COMMENT ON TABLE offline.catch_ups IS 'the last rows of portals.event_gaps whose changed items were to be published, and were';

      ALTER TABLE offline.visits ADD COLUMN taking_since timestamptz;
      COMMENT ON COLUMN offline.visits.taking_since IS 'a request that deletes records is in flight, or its answer was lost';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE offline.visits DROP COLUMN taking_since;
      DROP TABLE offline.catch_ups;
    `);
  }
}
