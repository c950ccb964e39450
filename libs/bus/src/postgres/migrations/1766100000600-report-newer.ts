import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ReportNewer1766100000600 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE bus.consumer_processes ADD COLUMN newer integer NOT NULL DEFAULT 0;
      COMMENT ON COLUMN bus.consumer_processes.newer IS 'messages that a newer version wrote, which come again until a process can read them';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE bus.consumer_processes DROP COLUMN newer');
  }
}
