import type { MigrationInterface, QueryRunner } from 'typeorm';

export class DeclareSettings1766100000810 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.setting_schemas (
        consumer text PRIMARY KEY,
        schema jsonb NOT NULL,
        declared_at timestamptz NOT NULL DEFAULT now()
      );
      COMMENT ON TABLE portals.setting_schemas IS
        'JSON Schema of what an operator may set for a consumer at one portal; each consumer writes its own at its start';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.setting_schemas');
  }
}
