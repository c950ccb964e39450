import type { MigrationInterface, QueryRunner } from 'typeorm';

export class SuspendPortals1764700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals
        ADD COLUMN suspended_reason text,
        ADD COLUMN suspended_until timestamptz,
        ADD COLUMN suspended_times int NOT NULL DEFAULT 0,
        DROP CONSTRAINT portals_state_check,
        ADD CONSTRAINT portals_state_check CHECK (state IN ('installed', 'needs-reauth', 'suspended', 'uninstalled')),
        ADD CONSTRAINT portals_suspended_check CHECK (
          num_nonnulls(suspended_reason, suspended_until) = CASE state WHEN 'suspended' THEN 2 ELSE 0 END);
      COMMENT ON COLUMN portals.portals.suspended_until IS 'when it is tried again; while a process tries, the end of its lease';
      COMMENT ON COLUMN portals.portals.suspended_times IS 'failed tries since it last worked';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals DROP CONSTRAINT portals_suspended_check, DROP CONSTRAINT portals_state_check;
      UPDATE portals.portals SET state = 'installed' WHERE state = 'suspended';
      ALTER TABLE portals.portals
        DROP COLUMN suspended_reason, DROP COLUMN suspended_until, DROP COLUMN suspended_times,
        ADD CONSTRAINT portals_state_check CHECK (state IN ('installed', 'needs-reauth', 'uninstalled'));
    `);
  }
}
