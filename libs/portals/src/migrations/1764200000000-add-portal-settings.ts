import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddPortalSettings1764200000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.portals
        ADD COLUMN language text,
        ADD COLUMN settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object');
      COMMENT ON COLUMN portals.portals.settings IS 'what an operator set, by the name of the consumer that it is for';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.portals DROP COLUMN settings, DROP COLUMN language');
  }
}
