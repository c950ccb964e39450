import type { MigrationInterface, QueryRunner } from 'typeorm';

export class NoteSignals1766400300020 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE offline.visits ADD COLUMN signalled_at timestamptz;
      COMMENT ON COLUMN offline.visits.signalled_at IS 'last ONOFFLINEEVENT: the portal reaches us';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE offline.visits DROP COLUMN signalled_at');
  }
}
