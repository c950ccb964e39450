import type { MigrationInterface, QueryRunner } from 'typeorm';

export class FixShardCount1764600000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE bus.topology (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        shards integer NOT NULL
      );
      COMMENT ON TABLE bus.topology IS 'what messages already wait under: written at the first start, checked at every start';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE bus.topology');
  }
}
