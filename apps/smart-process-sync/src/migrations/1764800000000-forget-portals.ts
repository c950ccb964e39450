import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ForgetPortals1764800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE mirror.portals (
        member_id text PRIMARY KEY,
        forgotten_to bigint NOT NULL DEFAULT 0
      );
      COMMENT ON COLUMN mirror.portals.forgotten_to IS 'nothing is stored of reads up to this number: their user wanted it gone';

      INSERT INTO mirror.portals (member_id) SELECT DISTINCT member_id FROM mirror.items;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE mirror.portals');
  }
}
