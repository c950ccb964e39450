import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ReportDeferred1766400600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE bus.consumer_processes ADD COLUMN deferred integer NOT NULL DEFAULT 0;
      COMMENT ON COLUMN bus.consumer_processes.deferred IS 'events that it put off although nothing failed, and that are not due again yet';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE bus.consumer_processes DROP COLUMN deferred');
  }
}
