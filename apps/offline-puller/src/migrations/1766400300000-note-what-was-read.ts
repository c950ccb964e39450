import type { MigrationInterface, QueryRunner } from 'typeorm';

export class NoteWhatWasRead1766400300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE offline.visits ADD COLUMN last_read text;
      COMMENT ON COLUMN offline.visits.last_read IS 'hash of the records of the last visit: the same again were not deleted by the portal';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE offline.visits DROP COLUMN last_read');
  }
}
