import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateTrials1764700000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE bus.trials (
        consumer text NOT NULL,
        member_id text NOT NULL,
        unfinished integer NOT NULL,
        entity text,
        starts integer NOT NULL DEFAULT 0,
        began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (consumer, member_id)
      );
      COMMENT ON TABLE bus.trials IS 'portals whose events were in hand when a process ended: batches that began again';
      COMMENT ON COLUMN bus.trials.unfinished IS 'batches that began and have not ended: died, or in hand now';
      COMMENT ON COLUMN bus.trials.starts IS 'how often the batch of this entity alone began and has not ended, in a row';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE bus.trials');
  }
}
