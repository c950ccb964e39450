import type { MigrationInterface, QueryRunner } from 'typeorm';

export class JudgeTokens1766100000400 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.credentials
        ADD COLUMN early_renewals int NOT NULL DEFAULT 0,
        ADD COLUMN accepted_at timestamptz,
        ADD COLUMN refused_since timestamptz,
        ADD COLUMN next_probe_at timestamptz;
      COMMENT ON COLUMN portals.credentials.early_renewals IS
        'renewals in a row of tokens that the portal called expired before their time';
      COMMENT ON COLUMN portals.credentials.accepted_at IS 'when the portal first took the token, where that was in doubt';
      COMMENT ON COLUMN portals.credentials.refused_since IS 'since when the portal refuses the stored token';
      COMMENT ON COLUMN portals.credentials.next_probe_at IS 'when a refused token is tried again, beside needs-reauth';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.credentials DROP COLUMN early_renewals, DROP COLUMN accepted_at, DROP COLUMN refused_since,
        DROP COLUMN next_probe_at
    `);
  }
}
