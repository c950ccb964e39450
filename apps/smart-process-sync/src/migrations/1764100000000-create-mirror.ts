import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateMirror1764100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA mirror;

      CREATE TABLE mirror.items (
        member_id text NOT NULL,
        entity_type_id int NOT NULL,
        item_id bigint NOT NULL,
        title text,
        stage_id text,
        category_id int,
        assigned_by_id int,
        created_time timestamptz,
        updated_time timestamptz,
        fields jsonb NOT NULL,
        deleted_at timestamptz,
        read_number bigint NOT NULL,
        PRIMARY KEY (member_id, entity_type_id, item_id)
      );
      COMMENT ON COLUMN mirror.items.fields IS 'all fields, as crm.item.list gave them';
      COMMENT ON COLUMN mirror.items.deleted_at IS 'when the item was first missed; other columns keep what was last known';
      COMMENT ON COLUMN mirror.items.read_number IS 'of the read that this row comes from; older ones never replace it';

      CREATE SEQUENCE mirror.read_numbers;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP SEQUENCE mirror.read_numbers;
      DROP TABLE mirror.items;
      DROP SCHEMA mirror;
    `);
  }
}
