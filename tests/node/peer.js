// One Node.js process that does with the Azure IoT SDKs what a test asks for.
//
// Reads a JSON array a line, [id, call, ...arguments]; writes {id, result} or {id, error}, and {event, ...} whenever
// something comes in. Bodies of messages are UTF-8 text.
'use strict';

const readline = require('node:readline');
const device = require('./device');
const provisioning = require('./provisioning');
const service = require('./service');

const emit = (event, fields) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');
const calls = { ...device.calls(emit), ...provisioning.calls(), ...service.calls(emit) };

async function answer(line) {
  const [id, call, ...given] = JSON.parse(line);
  let reply;
  try {
    reply = JSON.stringify({ id, result: (await calls[call](...given)) ?? null });
  } catch (error) {
    // The SDK passes on some errors of its AMQP library, which have a condition and a description.
    const { name = error.condition ?? 'Error', message = error.description ?? String(error) } = error;
    reply = JSON.stringify({ id, error: { name, message } });
  }
  process.stdout.write(reply + '\n');
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', answer);
lines.on('close', () => process.exit(0));
