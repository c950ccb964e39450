import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateCorrections1766400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA names;

      CREATE TABLE names.corrections (
        member_id text NOT NULL,
        contact_id text NOT NULL,
        fields jsonb NOT NULL,
        told boolean NOT NULL DEFAULT false,
        written_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (member_id, contact_id)
      );
      CREATE INDEX corrections_written_at ON names.corrections (written_at);
      COMMENT ON TABLE names.corrections IS 'what name-formatter wrote within a day: it has no names';
      COMMENT ON COLUMN names.corrections.fields IS 'by field: a keyed hash of the value that was replaced last, and how often';
      COMMENT ON COLUMN names.corrections.told IS 'the log says that something else rewrites this contact';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA names CASCADE');
  }
}
