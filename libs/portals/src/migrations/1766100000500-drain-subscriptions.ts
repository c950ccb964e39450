import type { MigrationInterface, QueryRunner } from 'typeorm';

export class DrainSubscriptions1766100000500 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.subscriptions
        ADD COLUMN since timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN drained_at timestamptz;
      COMMENT ON COLUMN portals.subscriptions.since IS 'older events are nothing that the consumer missed';
      COMMENT ON COLUMN portals.subscriptions.drained_at IS
        'the consumer gets no more until it is started again: nobody makes its queues anew';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.subscriptions DROP COLUMN since, DROP COLUMN drained_at');
  }
}
