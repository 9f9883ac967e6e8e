"""The Modbus TCP output: bank and batteries as registers, to be read only.  Off unless configured."""
