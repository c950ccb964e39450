import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ReconcileAfterGaps1766600000010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE mirror.portals ADD COLUMN gap_seen bigint NOT NULL DEFAULT 0;
      COMMENT ON COLUMN mirror.portals.gap_seen IS 'last row of portals.event_gaps after which a reconciliation was requested';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE mirror.portals DROP COLUMN gap_seen');
  }
}
