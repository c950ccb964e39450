import type { MigrationInterface, QueryRunner } from 'typeorm';

export class BindWebhookPairs1766100000300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.webhook_pairs ADD COLUMN member_id text;
      COMMENT ON COLUMN portals.webhook_pairs.member_id IS 'the only portal that may claim it; null: whose event is first';

      ALTER TABLE portals.application_tokens ADD COLUMN host text;
      COMMENT ON COLUMN portals.application_tokens.host IS
        'of the pair that brought the token of an outgoing webhook; null: of before this was kept';

      -- The address is proved, by the OAuth server or by who gave the pair; a domain of before was what a form said.
      UPDATE portals.portals SET domain = lower(substring(client_endpoint FROM '^https?://([^/]+)/rest/$'))
      WHERE client_endpoint ~ '^https?://[A-Za-z0-9.:_-]+/rest/$';
      -- Of a portal with an application the pair's host is not known: the next install drops these.
      UPDATE portals.application_tokens t
      SET host = lower(substring(client_endpoint FROM '^https?://([^/:]+)(?::[0-9]+)?/rest/$'))
      FROM portals.portals p JOIN portals.credentials c USING (member_id)
      WHERE t.member_id = p.member_id AND t.kind = 'webhook' AND c.kind = 'webhook';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE portals.application_tokens DROP COLUMN host;
      ALTER TABLE portals.webhook_pairs DROP COLUMN member_id;
    `);
  }
}
