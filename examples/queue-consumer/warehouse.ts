import { eq, sql } from 'drizzle-orm'
import { int, type MySqlDatabase, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import type { MySql2PreparedQueryHKT, MySql2QueryResultHKT } from 'drizzle-orm/mysql2'
import type { Message } from './broker.js'

/** The warehouse's database, or a transaction in it. */
export type WarehouseDatabase = MySqlDatabase<MySql2QueryResultHKT, MySql2PreparedQueryHKT>

const stock = mysqlTable('example_stock', {
  product: varchar('product', { length: 40 }).primaryKey(),
  units: int('units').notNull(),
})

/** Nothing here prevents an order from being shipped twice: the audit would see it. */
const shipments = mysqlTable('example_shipments', {
  id: int('id').autoincrement().primaryKey(),
  order: varchar('order_id', { length: 40 }).notNull(),
  product: varchar('product', { length: 40 }).notNull(),
  units: int('units').notNull(),
})

/** Ships an order: the effect that must happen once, and that cannot be seen to have happened. */
export async function ship(tx: WarehouseDatabase, { id, order: { product, units } }: Message): Promise<void> {
  await tx
    .update(stock)
    .set({ units: sql`${stock.units} - ${units}` })
    .where(eq(stock.product, product))
  await tx.insert(shipments).values({ order: id, product, units })
}

/** Opens the warehouse anew. */
export async function openWarehouse(
  database: WarehouseDatabase,
  products: readonly string[],
  units: number,
): Promise<void> {
  await database.execute(sql`drop table if exists ${stock}, ${shipments}`)
  await database.execute(sql`create table ${stock} (product varchar(40) primary key, units int not null) engine=InnoDB`)
  await database.execute(
    sql`create table ${shipments} (id int auto_increment primary key, order_id varchar(40) not null,
      product varchar(40) not null, units int not null) engine=InnoDB`,
  )
  await database.insert(stock).values(products.map((product) => ({ product, units })))
}

/** How the warehouse stands. */
export interface Inventory {
  /** How often each order was shipped. */
  readonly shipped: ReadonlyMap<string, number>
  readonly unitsShipped: number
  readonly unitsLeft: number
}

export async function takeInventory(database: WarehouseDatabase): Promise<Inventory> {
  const shipped = new Map<string, number>()
  let unitsShipped = 0
  for (const { order, units } of await database.select().from(shipments)) {
    shipped.set(order, (shipped.get(order) ?? 0) + 1)
    unitsShipped += units
  }
  const left = await database.select().from(stock)
  return { shipped, unitsShipped, unitsLeft: left.reduce((sum, { units }) => sum + units, 0) }
}
