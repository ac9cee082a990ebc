// Several processes handle a queue that delivers messages more than once. Some are killed; no order is shipped twice.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { drizzle } from 'drizzle-orm/mysql2'
import { MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createLogUpdate } from 'log-update'
import { createPool } from 'mysql2/promise'
import colours from 'picocolors'
import { openDatabase } from '../open-database.js'
import { Broker, type Message } from './broker.js'
import { ConsumerProcess } from './consumer-process.js'
import { type Place, places } from './consumer-protocol.js'
import { openWarehouse, takeInventory } from './warehouse.js'

const PATIENCE = 300
const QUICK = 5
/** Longer than the queue waits for an acknowledgement. */
const SLOW = 450
const LONGEST_RUN = 60_000
const MAXIMUM_FAILURES = 5
const PRODUCTS = ['kettle', 'lamp', 'clock']
const UNITS = 10_000

const { values } = parseArgs({
  options: {
    orders: { type: 'string', default: '200' },
    consumers: { type: 'string', default: '4' },
    kills: { type: 'string', default: '6' },
  },
})
const [orders, consumerCount, kills] = (['orders', 'consumers', 'kills'] as const).map((option) => {
  const value = Number(values[option])
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new Error(`--${option}: expected a whole number, got ${values[option]}`)
}) as [number, number, number]

const messages: Message[] = Array.from({ length: orders }, (_, index) => ({
  id: randomUUID(),
  order: { product: PRODUCTS[index % PRODUCTS.length] as string, units: 1 + (index % 5) },
  work: index % 20 === 7 ? SLOW : QUICK,
}))
const broker = new Broker(PATIENCE)
for (const [index, message] of messages.entries()) {
  broker.publish(message)
  // The producer did not hear that the queue has it, and published it again.
  if (index % 4 === 0) broker.publish(message)
}

const database = await openDatabase('goscope_queue_example', (line) => console.log(line))
const pool = createPool({ uri: database.url })
const warehouse = drizzle({ client: pool })
const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix: 'example:' })
await idempotency.connect()
await openWarehouse(warehouse, PRODUCTS, UNITS)
console.log(
  `${database.name}. ${consumerCount} processes ship ${orders} orders; ${kills} of them are killed and replaced.\n`,
)

const fates: Place[] = Array.from({ length: kills }, (_, index) => places[index % places.length] as Place)
const done = new Set<string>()
const hire = () =>
  new ConsumerProcess(database.url, ({ receipt, message, dieAfter }, outcome) => {
    // It met nothing there to be killed at.
    if (dieAfter !== undefined) fates.unshift(dieAfter)
    if (outcome === 'left') return
    broker.acknowledge(receipt)
    done.add(message.id)
  })
const consumers = Array.from({ length: consumerCount }, hire)
const begin = performance.now()
const bar = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined
/** Consumers that ended by themselves. None should. */
const failures = () =>
  consumers.filter(({ end, diedAfter }) => end !== undefined && end !== 0 && diedAfter === undefined)
while (!broker.isEmpty && failures().length < MAXIMUM_FAILURES && performance.now() - begin < LONGEST_RUN) {
  for (const consumer of consumers.filter(({ isIdle }) => isIdle)) {
    const delivery = broker.deliver()
    if (delivery === undefined) break
    // The killings are spread over the run, and hit messages that nobody has seen to.
    const isDue = (kills - fates.length) / kills <= done.size / orders
    consumer.give({ ...delivery, dieAfter: isDue && !delivery.isRepeated ? fates.shift() : undefined })
  }
  const missing = consumerCount - consumers.filter(({ end }) => end === undefined).length
  consumers.push(...Array.from({ length: missing }, hire))
  bar?.(progress())
  await sleep(5)
}
bar?.clear()
await Promise.all(consumers.map((consumer) => consumer.stop()))

console.log(describeConsumers())
const { shipped, unitsShipped, unitsLeft } = await takeInventory(warehouse)
const twice = [...shipped.values()].filter((times) => times > 1).length
const missed = messages.filter(({ id }) => !shipped.has(id)).length
const unitsOrdered = messages.reduce((sum, { order }) => sum + order.units, 0)
const audit = new Table({
  head: ['audit', 'should be', 'is', ''],
  colAligns: ['left', 'right', 'right', 'left'],
  style: { head: [], border: [], compact: true },
})
const figures: [name: string, expected: number, found: number][] = [
  ['orders shipped', orders, shipped.size],
  ['orders shipped twice', 0, twice],
  ['orders missed', 0, missed],
  ['units shipped', unitsOrdered, unitsShipped],
  ['units left in the warehouse', PRODUCTS.length * UNITS - unitsOrdered, unitsLeft],
]
for (const [name, expected, found] of figures) {
  audit.push([name, expected, found, expected === found ? colours.green('right') : colours.red('WRONG')])
}
console.log(audit.toString())
const isClean = figures.every(([, expected, found]) => expected === found)
console.log(`${broker.deliveries} deliveries of ${orders} orders.`)
console.log(isClean ? colours.green('Every order was shipped exactly once.') : colours.red('The orders are not right.'))
if (failures().length > 0) console.log(colours.red(`${failures().length} consumers failed by themselves.`))

await idempotency.disconnect()
await pool.end()
await database.close()
process.exitCode = isClean && failures().length === 0 ? 0 : 1

function progress(): string {
  const full = Math.round((done.size / orders) * 50)
  const killed = consumers.filter(({ end }) => end === 'SIGKILL').length
  return `${'█'.repeat(full)}${'░'.repeat(50 - full)} ${done.size} of ${orders} orders, ${killed} consumers killed`
}

function describeConsumers(): string {
  const table = new Table({
    head: ['process', 'received', 'shipped', 'known already', 'left for later', 'end'],
    colAligns: ['right', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const { pid, received, outcomes, diedAfter, end } of consumers) {
    const how = diedAfter === undefined ? `${end === 0 ? 'well' : `failed: ${end}`}` : `killed, had ${diedAfter}`
    table.push([pid, received, outcomes.shipped, outcomes.known, outcomes.left, how])
  }
  return table.toString()
}
