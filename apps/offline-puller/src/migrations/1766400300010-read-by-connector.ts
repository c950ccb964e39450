import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ReadByConnector1766400300010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE offline.visits ADD COLUMN connector text NOT NULL DEFAULT '';
      ALTER TABLE offline.batches ADD COLUMN connector text NOT NULL DEFAULT '';
      COMMENT ON COLUMN offline.visits.connector IS 'auth_connector of the queue that was read last; another one is read after what is left of it';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE offline.visits DROP COLUMN connector;
      ALTER TABLE offline.batches DROP COLUMN connector;
    `);
  }
}
