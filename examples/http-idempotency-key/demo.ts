// A payment service that honours the Idempotency-Key header, and clients whose network loses answers.
import { randomUUID } from 'node:crypto'
import Table from 'cli-table3'
import { drizzle } from 'drizzle-orm/mysql2'
import { MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import colours from 'picocolors'
import { TcpProxy } from '../../test/support/tcp-proxy.js'
import { openDatabase } from '../open-database.js'
import { openBank, type Payment, readBooks } from './bank.js'
import { type Attempt, send, sendUntilAnswered } from './payment-client.js'
import { startPaymentService } from './payment-service.js'

/** Something that happens to a client, and how much money may have moved by then. */
interface Scene {
  readonly title: string
  /** How many payments it makes, however many requests. */
  readonly payments: number
  play(): Promise<Attempt[]>
}

const DUPLICATES = 20
const WEALTH = 100_000

const database = await openDatabase('goscope_payments_example', (line) => console.log(line))
const pool = createPool({ uri: database.url })
const bank = drizzle({ client: pool })
const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix: 'example:' })
await idempotency.connect()
await openBank(bank, { Ada: WEALTH, Bob: 0 })
const instances = await Promise.all([startPaymentService(database.url), startPaymentService(database.url)])
const [one, other] = instances
const network = await TcpProxy.start(one.url)

const payment: Payment = { from: 'Ada', to: 'Bob', amount: 1_999 }
const dear: Payment = { ...payment, amount: 2 * WEALTH }
const firstKey = randomUUID()
const dearKey = randomUUID()
const scenes: Scene[] = [
  { title: 'Ada pays', payments: 1, play: async () => [await send(one.url, firstKey, payment)] },
  {
    title: 'Her client sends it again, to another instance',
    payments: 0,
    play: async () => [await send(other.url, firstKey, payment)],
  },
  {
    title: 'The network loses an answer, her client retries',
    payments: 1,
    play() {
      network.disturb('POST /payments', 'lose answer')
      return sendUntilAnswered(network.url, randomUUID(), payment)
    },
  },
  {
    title: 'The network loses a request, her client retries',
    payments: 1,
    play() {
      network.disturb('POST /payments', 'cut')
      return sendUntilAnswered(network.url, randomUUID(), payment)
    },
  },
  {
    title: `${DUPLICATES} duplicates at once, to both instances`,
    payments: 1,
    async play() {
      const key = randomUUID()
      const urls = Array.from({ length: DUPLICATES }, (_, index) => (index % 2 === 0 ? one.url : other.url))
      return (await Promise.all(urls.map((url) => sendUntilAnswered(url, key, payment)))).flat()
    },
  },
  {
    title: 'The first key again, for another amount',
    payments: 0,
    play: async () => [await send(one.url, firstKey, { ...payment, amount: 1 })],
  },
  { title: 'No key', payments: 0, play: async () => [await send(one.url, undefined, payment)] },
  {
    title: 'More money than there is, asked twice',
    payments: 0,
    play: async () => [await send(one.url, dearKey, dear), await send(other.url, dearKey, dear)],
  },
]

console.log(`${database.name}. Two instances of a service move money for clients that ask more than once.\n`)
const table = new Table({
  head: ['what happens', 'requests', 'answers', 'payments', 'cents', ''],
  colAligns: ['left', 'right', 'left', 'right', 'right', 'left'],
  style: { head: [], border: [], compact: true },
})
let isClean = true
let before = await readBooks(bank, 'Bob')
for (const { title, payments, play } of scenes) {
  const attempts = await play()
  const books = await readBooks(bank, 'Bob')
  const made = books.payments - before.payments
  const moved = books.balance - before.balance
  // Those who were told of a payment were told of the same one.
  const numbers = new Set(attempts.flatMap(({ payment: number }) => number ?? []))
  const isRight = made === payments && moved === payments * payment.amount && numbers.size <= 1
  isClean &&= isRight
  table.push([
    title,
    attempts.length,
    tally(attempts),
    made,
    moved,
    isRight ? colours.green('right') : colours.red('WRONG'),
  ])
  before = books
}
console.log(table.toString())

const expected = scenes.reduce((sum, { payments }) => sum + payments, 0) * payment.amount
const left = await readBooks(bank, 'Ada')
isClean &&= before.balance === expected && left.balance + before.balance === WEALTH
console.log(
  `Bob got ${before.balance} cents of ${expected}, Ada has ${left.balance} left, together ${left.balance + before.balance} of ${WEALTH}.`,
)
console.log(isClean ? colours.green('No money moved twice.') : colours.red('Money is not where it should be.'))

await network.stop()
await Promise.all(instances.map((instance) => instance.close()))
await idempotency.disconnect()
await pool.end()
await database.close()
process.exitCode = isClean ? 0 : 1

/** How often each answer came, as in `1 × 201, 19 × 201 replayed`. */
function tally(attempts: readonly Attempt[]): string {
  const counts = new Map<string, number>()
  for (const { status, isReplay } of attempts) {
    const answer = status === undefined ? 'no answer' : `${status}${isReplay ? ' replayed' : ''}`
    counts.set(answer, (counts.get(answer) ?? 0) + 1)
  }
  return [...counts].map(([answer, times]) => `${times} × ${answer}`).join(', ')
}
