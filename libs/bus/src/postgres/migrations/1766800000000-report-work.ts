import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ReportWork1766800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE bus.consumer_processes ADD COLUMN done bigint NOT NULL DEFAULT 0, ADD COLUMN largest jsonb NOT NULL DEFAULT '[]';
      COMMENT ON COLUMN bus.consumer_processes.done IS 'events that it has handled since its start';
      COMMENT ON COLUMN bus.consumer_processes.largest IS 'the portals of which it has the most events, ten at most: memberId, events';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE bus.consumer_processes DROP COLUMN done, DROP COLUMN largest');
  }
}
