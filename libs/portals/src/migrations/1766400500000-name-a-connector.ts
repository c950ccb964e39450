import type { MigrationInterface, QueryRunner } from 'typeorm';

export class NameAConnector1766400500000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.offline_access
        ADD COLUMN has_connector boolean NOT NULL DEFAULT false,
        ADD COLUMN connector text NOT NULL DEFAULT '';
      COMMENT ON COLUMN portals.offline_access.has_connector IS 'the plan has rest_auth_connector';
      COMMENT ON COLUMN portals.offline_access.connector IS 'auth_connector of the handlers that are bound; empty for none';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE portals.offline_access DROP COLUMN has_connector, DROP COLUMN connector`);
  }
}
