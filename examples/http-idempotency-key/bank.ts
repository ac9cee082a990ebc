import { and, count, eq, gte, sql } from 'drizzle-orm'
import { int, type MySqlDatabase, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import type { MySql2PreparedQueryHKT, MySql2QueryResultHKT } from 'drizzle-orm/mysql2'

/** The bank's database, or a transaction in it. */
export type BankDatabase = MySqlDatabase<MySql2QueryResultHKT, MySql2PreparedQueryHKT>

/** What a client asks for. Amounts are cents. */
export interface Payment {
  readonly from: string
  readonly to: string
  readonly amount: number
}

const accounts = mysqlTable('example_accounts', {
  name: varchar('name', { length: 40 }).primaryKey(),
  balance: int('balance').notNull(),
})

/** Nothing here prevents a payment from being there twice: the audit would see it. */
const payments = mysqlTable('example_payments', {
  id: int('id').autoincrement().primaryKey(),
  from: varchar('debtor', { length: 40 }).notNull(),
  to: varchar('creditor', { length: 40 }).notNull(),
  amount: int('amount').notNull(),
})

/**
 * Moves the money.
 *
 * @param tx - An open transaction: all of it or nothing.
 * @returns The payment's number, or `null` when there is not enough money.
 */
export async function pay(tx: BankDatabase, { from, to, amount }: Payment): Promise<number | null> {
  const [debit] = await tx
    .update(accounts)
    .set({ balance: sql`${accounts.balance} - ${amount}` })
    .where(and(eq(accounts.name, from), gte(accounts.balance, amount)))
  if (debit.affectedRows === 0) return null
  const [credit] = await tx
    .update(accounts)
    .set({ balance: sql`${accounts.balance} + ${amount}` })
    .where(eq(accounts.name, to))
  if (credit.affectedRows === 0) throw new Error('the creditor has no account')
  const [{ insertId }] = await tx.insert(payments).values({ from, to, amount })
  return insertId
}

/** Opens the bank anew, with these balances. */
export async function openBank(database: BankDatabase, balances: Readonly<Record<string, number>>): Promise<void> {
  await database.execute(sql`drop table if exists ${accounts}, ${payments}`)
  await database.execute(
    sql`create table ${accounts} (name varchar(40) primary key, balance int not null) engine=InnoDB`,
  )
  await database.execute(
    sql`create table ${payments} (id int auto_increment primary key, debtor varchar(40) not null,
      creditor varchar(40) not null, amount int not null) engine=InnoDB`,
  )
  await database.insert(accounts).values(Object.entries(balances).map(([name, balance]) => ({ name, balance })))
}

/** The balance of an account, and how often money was moved. */
export async function readBooks(database: BankDatabase, name: string): Promise<{ balance: number; payments: number }> {
  const [account] = await database.select().from(accounts).where(eq(accounts.name, name))
  const [moved] = await database.select({ payments: count() }).from(payments)
  return { balance: account?.balance ?? 0, payments: moved?.payments ?? 0 }
}
