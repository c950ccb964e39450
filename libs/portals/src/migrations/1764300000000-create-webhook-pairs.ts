import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateWebhookPairs1764300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.webhook_pairs (
        token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
        host text NOT NULL,
        sealed_url text NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now()
      );
      COMMENT ON TABLE portals.webhook_pairs IS 'Wait for the first event, which tells the member_id';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.webhook_pairs');
  }
}
