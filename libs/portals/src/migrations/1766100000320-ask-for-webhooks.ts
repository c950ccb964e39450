import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AskForWebhooks1766100000320 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals
        DROP CONSTRAINT portals_state_check,
        ADD CONSTRAINT portals_state_check CHECK (
          state IN ('installed', 'needs-reauth', 'needs-webhook', 'suspended', 'uninstalled'));
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      UPDATE portals.portals SET state = 'installed' WHERE state = 'needs-webhook';
      ALTER TABLE portals.portals
        DROP CONSTRAINT portals_state_check,
        ADD CONSTRAINT portals_state_check CHECK (state IN ('installed', 'needs-reauth', 'suspended', 'uninstalled'));
    `);
  }
}
