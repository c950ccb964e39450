import type { MigrationInterface, QueryRunner } from 'typeorm';

export class NoteRelocations1764700000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.credentials ADD COLUMN relocation_asked_at timestamptz;
      COMMENT ON COLUMN portals.credentials.relocation_asked_at IS
        'when the OAuth server was last asked where a portal is that answered 302';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.credentials DROP COLUMN relocation_asked_at');
  }
}
